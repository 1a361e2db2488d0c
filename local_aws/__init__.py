"""An AWS on this machine, just large enough for the CDK CLI to deploy an app to.

It knows nothing of the app that is deployed. State is in memory and ends with the process.
"""

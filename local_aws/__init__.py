"""An AWS on this machine, just large enough for the CDK CLI to deploy an app to it.

It knows nothing about the app. Its state is in memory and ends with the process.
"""

"""The console: a page in the browser that asks this API."""

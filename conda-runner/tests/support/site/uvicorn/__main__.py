"""What `python -m uvicorn` would run."""

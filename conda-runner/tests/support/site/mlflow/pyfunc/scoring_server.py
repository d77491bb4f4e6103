"""Stands for MLflow's scoring server, which a template warms."""


async def answer(scope, receive, send):
    await receive()


def init(model):
    return model


def load_model_with_mlflow_config(load):
    """A worker's model is what starts it; the template's own is in a folder."""
    return load() if callable(load) else answer

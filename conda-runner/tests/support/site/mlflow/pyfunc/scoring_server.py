"""Stands for MLflow's scoring server, of which a template warms what it can."""


def init(model):
    return model


def load_model_with_mlflow_config(load):
    return load()

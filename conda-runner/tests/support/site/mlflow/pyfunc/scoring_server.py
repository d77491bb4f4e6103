"""Stands for MLflow's scoring server, of which a template warms what it can."""


def init(model):
    return model

class ModelSignature:
    def __init__(self, **parts):
        pass

class ColSpec:
    def __init__(self, kind, name, required=True):
        pass


class Schema:
    def __init__(self, columns):
        pass

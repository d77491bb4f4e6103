"""Models that answer one item for each row of their input. A row is its `number` and, perhaps, what is to be `done` with it.

The configuration names the `model`: `rowwise` treats each row by itself, `centred` subtracts the mean of all rows.
"""

import mlflow
import pandas


def columns(model_input):
    """Numbers and what is done with each, of a data frame, a dictionary of arrays, or an array of rows of numbers."""
    if not hasattr(model_input, "keys"):
        numbers = [row[0].item() for row in model_input]
        return numbers, ["number"] * len(numbers)
    numbers = model_input["number"].tolist()
    done = model_input["done"].tolist() if "done" in model_input else ["number"] * len(numbers)
    return numbers, done


def answer(number, done):
    match done:
        case "number":
            return number
        case "text":
            return f'{number} é "]}},\\ [{{'
        case "dictionary":
            return {"number": number, "third": number / 3, "text]": [str(number)], "nothing": None}
        case "list":
            return [number, [], {"}": number % 2 == 0}]
        case "not finite":
            return [float("nan"), float("inf"), float("-inf"), number / 7][number % 4]
        case "refused":
            raise ValueError(f"{number} is refused")


class Rowwise(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.is_centred = context.model_config["model"] == "centred"

    def predict(self, context, model_input, params=None):
        if isinstance(model_input, list):
            model_input = pandas.DataFrame(model_input)
        numbers, done = columns(model_input)
        if self.is_centred:
            return [number - sum(numbers) / len(numbers) for number in numbers]
        answers = [answer(*row) for row in zip(numbers, done)]
        if "framed" in model_input:
            return pandas.DataFrame({"it is": answers, "and half": [number / 2 for number in numbers]})
        return answers


mlflow.models.set_model(Rowwise())

"""A model of pure Python: points for an applicant, a row at a time. Logged as code, so every server runs this file."""

import mlflow
import numpy


class Scorecard(mlflow.pyfunc.PythonModel):
    """Adds points for each answer; a row costs a few microseconds, and a batch as many times that as it has rows."""

    def predict(self, context, model_input, params=None):
        return numpy.array([points(*row) for row in model_input.itertuples(index=False, name=None)])


def points(age, income, debt, late_payments, years_employed, open_accounts):
    score = 500.0
    score += 40 if age >= 50 else 25 if age >= 35 else 10 if age >= 25 else 0
    score += min(income / 1000, 120)
    ratio = debt / income if income else 1.0
    score -= 150 if ratio > 0.8 else 60 if ratio > 0.4 else 15 if ratio > 0.2 else 0
    score -= 35 * late_payments
    score += 4 * min(years_employed, 20)
    score -= 5 * max(open_accounts - 6, 0)
    return max(score, 300.0)


mlflow.models.set_model(Scorecard())

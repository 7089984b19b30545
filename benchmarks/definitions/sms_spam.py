"""Spam by text message: block it, or let it through."""

import holdfast as hf


class Message(hf.Event, source="messages.parquet"):
    number = hf.Key()
    received_at = hf.EventTime()  # the order of the file, a second apart
    text = hf.Text()
    spam = hf.Boolean(column="label", true="spam", false="ham", known_after="1s")


class Features(hf.Features):
    words = hf.tfidf(Message.text, words=20_000, ngrams=2)


use_case = hf.UseCase(
    name="sms-spam",
    owner="benchmarks",
    each=Message,
    predict=Message.spam,
    features=Features,
    value=hf.Payoff(
        "EUR",
        block=hf.when(Message.spam, 0.0, -1.0),  # a message lost is as bad as five of spam
        deliver=hf.when(Message.spam, -0.2, 0.0),
    ),
    training=hf.Training(candidates=[hf.LogisticRegression(C=100.0), hf.LightGBM()]),
)

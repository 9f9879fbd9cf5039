"""The engine for any endpoint with OpenAI's chat completions, through the official client.

``presets`` says what an endpoint can do, ``messages`` writes requests, ``replies`` reads answers,
``client`` sends with repetitions, ``throttle`` and ``usage`` hold it back, ``cache`` keeps answers.
"""

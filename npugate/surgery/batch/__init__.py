"""Run a batch of N samples as one: in the channels, stacked along the height, or one by one.

``regions`` finds the layers on more than one sample and what connects them; ``channels``,
``spatial`` and ``unroll`` each plan one form without touching the draft, so that nothing has to be
taken back; ``cost`` says what a form costs and ``choice`` takes one.
"""

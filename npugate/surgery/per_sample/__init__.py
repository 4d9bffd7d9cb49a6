"""What is known to work on each sample by itself: the list by which a batch of N becomes one.

``rows`` holds the model and which of its tensors have the samples in front; ``operators`` is the
list, ``operands`` the operators whose inputs are aligned with each other, ``axes`` those that work
along an axis, ``views`` those that move elements. What is not on the list is refused.
"""

"""From a network's maps, in one view or many, to answers where they are wanted.

mean.py      the mean of what several views say of the same places
mixing.py    best class and probability in a block of rows mixed of the same two
softmax.py   the best class and its probability of upsampled logits, without upsampling them
classes.py   classes and probabilities of one view, or the mean of several, stripe by stripe
"""

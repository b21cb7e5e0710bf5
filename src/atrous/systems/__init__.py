"""Each paper's figure as code: encode, forward, loss, parse."""

"""DeeperLab's decoding and fusion of a batch of images in torch, on the device of the maps."""

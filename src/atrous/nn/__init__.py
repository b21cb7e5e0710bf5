"""Layers, backbones, context modules, decoders and losses: torch alone, no labels, no disk."""

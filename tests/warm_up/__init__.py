"""Warm-up requests: read, carried through edits, written; TensorFlow replays them."""

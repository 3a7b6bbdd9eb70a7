"""Warm-up requests: read, changed with edits, written; TensorFlow replays them."""

"""The storm: a real cluster under blows, and whether anything was lost, doubled or changed by them."""

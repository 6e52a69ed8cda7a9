"""How well alerts and rules met the attacks that were in the traffic. Every figure: docs/evaluate.md."""

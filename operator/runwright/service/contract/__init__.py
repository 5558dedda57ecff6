"""The wire contract of KFP v1beta1: packages, names, field numbers and HTTP paths that clients depend on.

The `.proto` files state the facts of the contract; `make generate` makes the modules from them.
"""

"""The wire contract of KFP v1beta1: packages, names, field numbers and HTTP paths that clients depend on.

The `.proto` files are written from the contract's facts; the modules are made from them by `make generate`.
"""

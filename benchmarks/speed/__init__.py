"""The speed harness: what clbench costs beside the bare network, nnU-Net and stock Avalanche."""

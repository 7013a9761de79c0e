"""Networks: latent encoders, the latent-conditioned actor and critic, and the deployable policies."""

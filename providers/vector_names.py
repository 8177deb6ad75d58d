"""Which vectors an alias gives: the name that is kept beside what it has made, and whether it still gives the like.

Names are all that is compared. A server that serves another model under the same name is not found out.
"""

from core.settings import Deployment, ModelAlias


def vector_name(alias: ModelAlias) -> str:
    """ "local/all-MiniLM-L6-v2", or what `serves` says, of the first deployment: all of them are of one model."""
    return _name(alias.deployments[0])


def gives(alias: ModelAlias, name: str) -> bool:
    """Whether vectors that were kept under `name` compare with those that the alias gives now. They do where any deployment has
    that name, and where it is of the same model at another provider, or by `serves`. What was kept without a name does."""
    kept = {each.casefold() for each in (name, *_behind(name))}
    now = {each.casefold() for one in alias.deployments for each in (_name(one), f"{one.provider}/{one.model}")}
    return not name or bool(kept & (now | {one.served_model for one in alias.deployments}))


def _name(deployment: Deployment) -> str:
    return deployment.serves or f"{deployment.provider}/{deployment.model}"


def _behind(name: str) -> tuple[str, str]:
    """The model behind a name, which is `serves` or begins with a provider, whose own name has no slash."""
    model = name.partition("/")[2]
    return model, model.partition("#")[2] or model

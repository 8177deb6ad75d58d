"""The settings of models: what an alias is, and the deployments behind it. A version in the registry has the same form."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from core.policies.policy import MAX_RULES, GuardRule
from core.price_settings import Prices
from core.sections import MODEL_KINDS, Section, Timeouts

#: The name of a prompt: its file below `chains/prompts`.
PromptName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(?:/[a-z0-9_]+)*\.txt$", max_length=128)]
PROMPT_CHARACTERS: Final = 20_000
StopText = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Deployment(Section):
    """One model at one provider."""

    provider: str
    model: str
    weight: float = Field(1, ge=0, description="share of the traffic under the strategy `weighted`")
    region: str | None = Field(None, description="where its calls are answered, where the provider's region does not say")
    timeouts: Timeouts | None = None
    context_tokens: int | None = Field(None, gt=0, description="context length, where the platform does not know it")
    images: bool | None = Field(None, description="whether the model sees, where the platform does not know it")
    tools: bool | None = Field(None, description="whether the model calls tools, where the platform does not know it")
    structured_output: bool | None = Field(None, description="whether the model keeps to a JSON schema that it is given")
    prefill: bool | None = Field(None, description="whether the model takes up an answer that is begun for it")
    requests_per_minute: int | None = Field(None, gt=0, description="calls in a minute, all processes together")
    tokens_per_minute: int | None = Field(None, gt=0, description="tokens in and out in a minute, all processes together")
    concurrent: int | None = Field(None, gt=0, description="calls at once, all processes together")
    serves: str | None = Field(None, description="the model behind the name, for embeddings under one alias")
    price: Prices | None = Field(
        None, description="what it costs, where the list price is not it: one price, or several with days from which they hold"
    )

    @property
    def served_model(self) -> str:
        """The model behind the deployment's name: what says whether two deployments give the same vectors."""
        return (self.serves or self.model.partition("#")[2] or self.model).casefold()

    @property
    def known_facts(self) -> dict[str, Any]:
        """What the operator says of the model, by the names of the model's facts."""
        said = {
            "context_tokens": self.context_tokens,
            "images": self.images,
            "tools": self.tools,
            "structured_output": self.structured_output,
            "prefill": self.prefill,
        }
        return {name: value for name, value in said.items() if value is not None}


class AnswerCache(Section):
    """Which of an alias's answers are given again. Nothing is kept where neither `exact` nor `semantic` is on."""

    exact: bool = Field(False, description="give the answer of the same request again")
    semantic: bool = Field(False, description="and that of a request whose last message asks for the same in other manners")
    threshold: float = Field(
        0.95, ge=0.5, le=1, description="cosine similarity from which two messages are compared word by word"
    )
    ttl_s: float = Field(3600, ge=1, le=30 * 24 * 3600, description="seconds that an answer is given again")
    requests: Literal["deterministic", "all"] = Field(
        "deterministic", description="deterministic: those with temperature 0 or a seed, and those that ask for it · all"
    )

    @property
    def on(self) -> bool:
        return self.exact or self.semantic


class Sampling(Section):
    """Parameters of an alias's calls, where neither the caller nor the capability says any."""

    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="tokens of an answer at most")
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    stop: tuple[StopText, ...] = Field((), max_length=16, description="texts that end an answer")
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that are said, as a chat model takes them."""
        said = self.model_dump(exclude_none=True, exclude={"stop"})
        return said | ({"stop": list(self.stop)} if self.stop else {})


class ModelAlias(Section):
    """The name that a caller uses, and the deployments behind it in order."""

    alias: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")
    kind: MODEL_KINDS = "chat"
    strategy: Literal["failover", "weighted", "latency", "cost", "least_busy"] = "failover"
    deployments: tuple[Deployment, ...] = Field(min_length=1)
    cache: AnswerCache = AnswerCache()
    parameters: Sampling = Field(Sampling(), description="of its calls, where neither caller nor capability says any")
    prompts: dict[PromptName, Annotated[int, Field(ge=0)]] = Field(
        {}, max_length=64, description="prompts that it is asked with, by name, in these versions; 0: as they are built in"
    )
    guards: tuple[GuardRule, ...] = Field(
        (), max_length=MAX_RULES, description="that stand before it for every tenant, beside those of the tenant's policy"
    )

    @model_validator(mode="after")
    def _answers(self) -> "ModelAlias":
        if self.kind != "chat" and self.cache.on:
            raise ValueError(f"cache: the alias {self.alias!r} gives no answers that could be given again")
        if self.kind != "chat" and (self.parameters.given or self.prompts or self.guards):
            raise ValueError("parameters, prompts and guards are for aliases of the kind chat")
        return self

    @model_validator(mode="after")
    def _vectors_compare(self) -> "ModelAlias":
        served = {deployment.served_model for deployment in self.deployments}
        if self.kind == "embeddings" and len(served) > 1:
            raise ValueError(
                f"the vectors of {' and '.join(sorted(served))} do not compare, so one cannot stand in for the other; where "
                "these are names of one model, say which by `serves` in each deployment"
            )
        return self


class PromptText(Section):
    """A version of a prompt with its text, so that an alias that pins it is asked with the same words in every installation."""

    name: PromptName
    version: int = Field(
        ge=1, le=2**31 - 1, description="the number by which aliases pin it here; the registry may give another"
    )
    text: str = Field(min_length=1, max_length=PROMPT_CHARACTERS)


def _once(texts: tuple[PromptText, ...]) -> tuple[PromptText, ...]:
    named = [(each.name, each.version) for each in texts]
    if twice := sorted({each for each in named if named.count(each) > 1}):
        raise ValueError(f"version {twice[0][1]} of the prompt {twice[0][0]!r} is given twice")
    return texts


PromptTexts = Annotated[tuple[PromptText, ...], AfterValidator(_once)]

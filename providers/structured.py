"""Answers that keep to a schema: by the provider's own grammar where it has one, else by a tool call (see
`providers.form_by_tool`)."""

from operator import itemgetter
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from core.errors import UnsupportedFeature

Method = Literal["json_schema", "function_calling", "json_mode"]


def structured_output(
    model: BaseChatModel,
    schema: Any,
    *,
    method: Method = "json_schema",
    include_raw: bool = False,
    strict: bool | None = None,
) -> Runnable[LanguageModelInput, Any]:
    """`model`, whose answers are parsed into `schema`: a pydantic class gives instances, anything else a dictionary.

    With `strict` the model is held to the schema, or a deployment that can be is asked.

    With `include_raw` the answer is `{"raw", "parsed", "parsing_error"}` and a failure to parse is told, not raised.

    Raises:
        UnsupportedFeature: `strict` with `json_mode`, which has no schema.
    """
    cls = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
    function = convert_to_openai_tool(schema)["function"]
    parser: Any
    if method == "function_calling":
        bound: Any = model.bind_tools([schema], tool_choice=function["name"], strict=strict)
        parser = (
            PydanticToolsParser(tools=[cls], first_tool_only=True)
            if cls
            else JsonOutputKeyToolsParser(key_name=function["name"], first_tool_only=True)
        )
    else:
        parser = PydanticOutputParser(pydantic_object=cls) if cls else JsonOutputParser()
        wanted: dict[str, Any] = {"type": "json_object"}
        if method == "json_mode" and strict:
            raise UnsupportedFeature("The method json_mode holds answers to no schema.", param="strict")
        if method == "json_schema":
            described: dict[str, Any] = {"name": function["name"], "schema": function.get("parameters", {})}
            wanted = {"type": "json_schema", "json_schema": described | ({} if strict is None else {"strict": strict})}
        bound = model.bind(response_format=wanted)
    if not include_raw:
        whole: Runnable[LanguageModelInput, Any] = bound | parser
        return whole
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")

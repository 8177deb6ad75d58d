"""The callbacks of a capability's run, as its root tells them: the caller's, or a tracer's."""

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, get_async_callback_manager_for_config
from langchain_core.tracers._streaming import _StreamingCallbackHandler

if TYPE_CHECKING:
    from chains.root import OpaqueRoot


class Observer:
    """Tells the callbacks of the root run, where there are any: the caller's, or a tracer's."""

    def __init__(self, root: "OpaqueRoot", value: Any, config: RunnableConfig | None) -> None:
        self._root, self._value, self._config = root, value, ensure_config(config)
        self._run: Any = None

    @property
    def watches(self) -> bool:
        """Whether anybody is told."""
        return self._run is not None

    async def start(self) -> None:
        manager = get_async_callback_manager_for_config(self._config)
        if manager.handlers and not self._root.may_be_traced():
            manager.set_handlers([each for each in manager.handlers if isinstance(each, _StreamingCallbackHandler)])
        if not manager.handlers:
            return
        self._run = await manager.on_chain_start(
            None,
            self._value,
            name=self._config.get("run_name") or self._root.get_name(),
            run_id=self._config.pop("run_id", None),
        )

    async def failed(self, error: BaseException) -> None:
        if self._run is not None:
            await self._run.on_chain_error(error)

    async def ended(self, output: Any) -> None:
        if self._run is not None:
            await self._run.on_chain_end(output)

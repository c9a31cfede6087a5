"""What PyInstaller cannot see: data files, and modules that are imported when they are first needed."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

_NOT_FOR_PROGRAMS = ("llm_orchestrator.testing", "llm_orchestrator.utils.pyinstaller")

datas = collect_data_files("llm_orchestrator")
hiddenimports = collect_submodules(
    "llm_orchestrator", filter=lambda name: not name.startswith(_NOT_FOR_PROGRAMS), on_error="ignore"
)

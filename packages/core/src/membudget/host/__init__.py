"""The measured program: functions that it replaces, its forks, errors, modules and files."""

"""The reporter: measurements and verdicts in, text or data out.

Every front end shows what these functions return, so a budget reads the same everywhere. Nothing
here prints by itself.
"""

"""The one error a person is meant to read: what was given, what was expected, the fix."""


class WorkbenchError(Exception):
    """Bad input or a missing thing that the user can put right.

    The command line prints the message as one line and exits with code 2; apps show it as a
    notification. Anything else that escapes is a bug and keeps its traceback.

    `given`: what was found or requested. `expected`: what would have been right. `fix`: what to do.
    """

    def __init__(self, given: str, expected: str, fix: str) -> None:
        self.given, self.expected, self.fix = given, expected, fix
        super().__init__(f"{given}; expected {expected}; {fix}")


def one_line(said: object, longest: int | None = None) -> str:
    """Return what something says, such as an error of a library, in one line of so many letters."""
    return " ".join(str(said).split())[:longest]

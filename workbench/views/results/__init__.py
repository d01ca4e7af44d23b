"""The page of findings: questions, their answers, and how sure they are."""

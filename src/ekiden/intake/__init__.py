"""The one door: every way in hands over a ``core.submission.Submission`` here, and nothing gets in otherwise."""

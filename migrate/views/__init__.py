"""What users see: progress on stderr, and plans, reports, differences and errors as text or JSON.

Views only read values (plans, reports, outcomes); they never ask a server or the state database.
``progress`` holds what the scheduler calls, and chooses its implementation.
"""

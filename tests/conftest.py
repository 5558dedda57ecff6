"""Failed assertions of the tests' own modules show what they compared, as those of test files do."""

import pytest

pytest.register_assert_rewrite("tests.e2e", "tests.unit")

# SPDX-License-Identifier: Apache-2.0
"""Values and services that every package uses: errors, array types, work folders, threads."""

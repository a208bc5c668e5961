"""The nouns of Wardship: what is governed, by whom, and what is known about it.

Standard library only: no database, network, framework or clock. Each family of nouns has one file.
Everything here is frozen; a value that the source system cannot give is `None`, and None means
"not known", never "never" or "no".
"""

"""Blocking new secrets: what hooks and CI jobs check (docs/blocking-secrets.md, ADR 0020).

    git        the repository's objects, read by plumbing commands that run none of its programs
    change     which contents are new: the index, the commits to be pushed, a range, files
    check      the engine's hits in them: new, there before, or accepted
    baseline   what was accepted, by whom, why and until when
    accept     what people do with it: add, list, prune
    run        one run of a stage, from what to look at to the record that is left
    words      what is said about a secret, for people; sarif: for code hosts
    spool      one record a run, kept beside the repository; which trees were checked
    install    the hooks themselves; state: whether they are there
    ci         ready pipelines, and the range that a CI system means
    report     the records in the workspace: what was blocked, of how many commits, in how many repositories

All but `report` run in every commit of every developer: they need no workspace and import no database.
"""

"""The ledger in a database that many machines share; needs the extra ``database``.

``schema`` says what the tables are, ``engine`` how a URL becomes connections, ``setup`` how the tables come
about. Nothing here is imported before a tracker with a database is made.
"""

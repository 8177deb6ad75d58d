"""What everything else stands on: settings, errors, database, principals, queue. Imports none of our other packages."""

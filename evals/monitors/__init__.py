"""What is looked for now and then, in the ledger above all: trouble that no single call shows. `jobs.alert_monitor` runs it."""

"""The machine, figures, tables, plots: what every report is made of."""

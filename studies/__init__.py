"""What is kept and shown: storage, records, Pareto fronts, tables and plots."""

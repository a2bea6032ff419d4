"""Plots of studies: by Plotly for a browser, by Matplotlib for paper."""

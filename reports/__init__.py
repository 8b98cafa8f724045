"""Records compiled into one offline HTML page, and given back by it: `reports.load("report.html")`."""

from reports.archive import Loaded, load

__all__ = ["Loaded", "load"]

"""Records compiled into one offline HTML page."""

"""A Tk window that shows a site: ``python examples/browser_tk.py URL_OR_FOLDER``."""

import sys
import tkinter
from bisect import bisect_left
from collections.abc import Callable
from tkinter import filedialog, ttk

from staticstore import Change, StaticStore
from staticstore.interop.desktop import in_thread, tk_dispatch


class Browser:
    """A table of the entries, a line with the last action, and a status line."""

    def __init__(self, window: tkinter.Tk, store: StaticStore) -> None:
        self.store, self.in_window = store, tk_dispatch(window)
        self.keys: list[str] = []
        self.news, self.state = ttk.Label(window), ttk.Label(window)
        self.table = ttk.Treeview(window, columns=("title", "bytes"), height=18)
        self.table.tag_configure("glow", background="#ffe08a")
        self.table.bind("<Double-1>", lambda _: self.save(self.table.focus()))
        for column, width in {"#0": 270, "title": 430, "bytes": 70}.items():
            self.table.heading(column, text=column.replace("#0", "key"), anchor="w")
            self.table.column(column, width=width)
        for widget in (self.table, self.news, self.state):
            widget.pack(fill="both", expand=widget is self.table, padx=8, pady=4)
        self.do(
            "connecting …",
            lambda: store.connect().subscribe(self.show, initial=True, dispatch=self.in_window),
            "double-click a row to save its value",
        )
        self.show_state()

    def do(self, doing: str, work: Callable[[], object], done: str) -> None:
        """Do slow work in a thread, and show the outcome in the window."""

        def report(news: object) -> None:
            self.news.config(text=str(news))

        report(doing)
        in_thread(work, lambda _: report(done), failed=report, dispatch=self.in_window)

    def show(self, change: Change) -> None:
        """Apply a change to the table; a row that was set or updated glows for a second."""
        key, place = change.key, bisect_left(self.keys, change.key)
        if change.action == "set":
            self.keys.insert(place, key)
            self.table.insert("", place, key, text=key)
        if change.metadata is None:
            self.table.delete(self.keys.pop(place))
        else:
            cells = [change.metadata.get(field, "") for field in ("title", "size")]
            self.table.item(key, values=cells, tags="glow")
            self.table.after(1000, lambda: self.table.exists(key) and self.table.item(key, tags=""))

    def show_state(self) -> None:
        """Show the number of entries, the last poll and any error, every second."""
        info = self.store.info()
        if info["age"] is not None:
            wrong = f", offline: {info['last_error']}" if info["last_error"] else ""
            self.state["text"] = f"{info['entries']} entries, polled {info['age']:.0f} s ago{wrong}"
        self.table.after(1000, self.show_state)

    def save(self, key: str) -> None:
        """Ask for a file name, and save a value there: verified, complete or not at all."""
        if path := filedialog.asksaveasfilename(initialfile=key.rpartition("/")[2]):
            self.do(f"saving {key} …", lambda: self.store.to_file(key, path), "saved")


if __name__ == "__main__":
    Browser(tkinter.Tk(className="staticstore"), StaticStore(sys.argv[1], poll_interval=5))
    tkinter.mainloop()

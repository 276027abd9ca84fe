"""A worker with an address book, to be killed: ``book_process.py URL ACCOUNT ADDRESSES``."""

from __future__ import annotations

import asyncio
import sys

from ekiden.content.address_book import AddressBooks, GroupAddresses
from ekiden.net.clock import SystemClock
from ekiden.store.open import open_store


async def main(url: str, account: int, number: int) -> None:
    books = AddressBooks(await open_store(url), SystemClock())
    everybody = [f"a{number}@x.example" for number in range(number)]
    await books.add(account, [GroupAddresses("one", everybody), GroupAddresses("two", everybody[::2])])
    print("added", flush=True)
    await asyncio.sleep(600)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

#!/usr/bin/env python3
"""Makes the documents in this folder with openpyxl, ebooklib, odfpy, Python's email and pandoc.

usage: make.py FOLDER        what ft-text writes of them is expected.jsonl
"""
import datetime
import mailbox
import os
import subprocess
import sys
from email.message import EmailMessage

import openpyxl
from ebooklib import epub
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P


def mail():
    message = EmailMessage()
    message['Subject'] = 'Größe der Übergabe – 日本語 und noch mehr Text, damit die Zeile gefaltet wird'
    message['From'] = 'a@example.com'
    message['Date'] = 'Mon, 1 Jan 2024 10:00:00 +0000'
    message['Message-ID'] = '<1@example.com>'
    message.set_content('Hallo,\n\nein Text mit äöüß und einer Zeile, die so lang ist, daß quoted-printable'
                        ' sie umbricht = gut.\n\nGruß\n')
    message.add_alternative('<h2>Hallo</h2><p>ein <b>Text</b> mit äöüß</p>', subtype='html')
    message.add_attachment('# Notes\n\nInner äö.\n', subtype='plain', filename='nötes.md')
    message.add_attachment(b'\x89PNG\r\n', maintype='image', subtype='png', filename='p.png')
    inner = EmailMessage()
    inner['Subject'] = 'Inner'
    inner['From'] = 'x@example.com'
    inner.set_content('inner text\n')
    message.add_attachment(inner)
    for part in message.walk(): # not random ones
        if part.get_content_maintype() == 'multipart':
            part.set_boundary(part.get_content_subtype())
    return message


def write_mail():
    message = mail()
    with open('mail.eml', 'wb') as out:
        out.write(message.as_bytes())
    second = EmailMessage()
    second['Subject'] = 'Second'
    second['From'] = 'q@example.com'
    second.set_content('Line\n\nFrom here on it goes.\n')
    box = mailbox.mbox('box.mbox')
    for m in (message, second):
        entry = mailbox.mboxMessage(m)
        entry.set_from('a@example.com Mon Jan  1 10:00:00 2024')
        box.add(entry)
    box.flush()


def write_workbook():
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = 'Figures'
    sheet.append(['Name', 'When', 'Share', 'Amount'])
    sheet.append(['a|b', datetime.date(2024, 3, 1), 0.256, 1234.5])
    sheet.append(['c', datetime.datetime(2024, 3, 1, 14, 30, 5), 0.1 + 0.2, '=1+1'])
    sheet['C2'].number_format = '0.0%'
    sheet['B5'] = 'Note below'
    sheet['D9'] = True
    sheet['D10'] = datetime.time(9, 5)
    hidden = book.create_sheet('Hidden')
    hidden['A1'] = 'no'
    hidden.sheet_state = 'hidden'
    lines = book.create_sheet('Zweites Blatt')
    lines['A1'] = 'only a line'
    lines['A2'] = 'äö'
    book.save('openpyxl.xlsx')


def write_book():
    book = epub.EpubBook()
    book.set_title('The Book')
    book.set_language('en')
    book.set_identifier('x')
    one = epub.EpubHtml(title='One', file_name='c 1.xhtml')
    one.content = '<h2>One</h2><p>first &amp; text</p>'
    two = epub.EpubHtml(title='Two', file_name='c2.xhtml')
    two.content = '<h2>Two</h2><p>second</p><table><tr><td>a</td><td>b</td></tr></table>'
    for item in (two, one, epub.EpubNcx(), epub.EpubNav()):
        book.add_item(item)
    book.toc = (one, two)
    book.spine = ['nav', one, two]
    epub.write_epub('ebooklib.epub', book)


def write_ods():
    document = OpenDocumentSpreadsheet()
    table = Table(name='Blatt')
    for row in (['x', 'y'], ['1', 'zwei']):
        line = TableRow()
        table.addElement(line)
        for value in row:
            cell = TableCell(numbercolumnsrepeated=2 if value == 'y' else 1)
            cell.addElement(P(text=value))
            line.addElement(cell)
    table.addElement(TableRow(numberrowsrepeated=1000000))
    document.spreadsheet.addElement(table)
    document.save('odfpy.ods')


def write_rtf():
    text = ('# Title\n\nText *with* — “quotes”, äöü 日本 😀.\n\n## Sub\n\n- a\n- b\n\n1. x\n2. y\n\n'
            '| a | b |\n|---|---|\n| c | d |\n\nNote[^1].\n\n[^1]: the note\n')
    subprocess.run(['pandoc', '-s', '-f', 'markdown', '-t', 'rtf', '-o', 'pandoc.rtf'], input=text.encode(), check=True)


if len(sys.argv) != 2:
    sys.exit(__doc__)
os.chdir(sys.argv[1])
write_mail()
write_workbook()
write_book()
write_ods()
write_rtf()

# This file is part of trytond-nightdesk, GPL-3.0-or-later; see COPYRIGHT and LICENSE one folder up.
